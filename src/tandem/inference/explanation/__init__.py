"""Why an exported model says what it says of an image: class activation maps, and their drawings."""
