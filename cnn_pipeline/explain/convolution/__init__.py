"""Convolution and pooling as arithmetic, on real pixels."""
