"""Records of what the gradients did in a training, and the files that hold them."""
