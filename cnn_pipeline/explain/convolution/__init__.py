"""Convolution and pooling, calculated step by step on real pixels."""
