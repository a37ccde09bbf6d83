"""The neutral chat: what every protocol says, in the words of none."""
