"""An exported model behind HTTP: passes that requests share, the interface, and its page."""
