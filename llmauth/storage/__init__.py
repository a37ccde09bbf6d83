"""Where state is kept: the issued keys, and the file and folder that hold them."""
