"""Images in FiftyOne, its Brain's second opinion on duplicates, the App, and a reviewer's decisions there."""
