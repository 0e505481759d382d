"""The images in FiftyOne, its Brain's second opinion, the App, and what a person decides there."""
