"""What a network does to an image, and what each of its parts contributes: one folder per topic.

`plots` are the plots of every run, `convolution` is the arithmetic by hand, `inside` looks into a
trained network. `drawing` is what all figures share. No figure uses pyplot or changes matplotlib's
settings, so several threads can draw at once.
"""
