"""What a network does to an image, and what each of its parts contributes.

`arithmetic`, `filters`, `worked` and `records` need NumPy alone; `network`, `patches`,
`ablation` and `occlusion` look into a Keras model. Nothing is imported here, so that the
arithmetic can be used without Keras.
"""
