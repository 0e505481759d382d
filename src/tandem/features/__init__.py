"""From images to features by a frozen backbone. Labels, splits and heads are left to others."""
