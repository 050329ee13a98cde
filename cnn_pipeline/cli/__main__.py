"""`python -m cnn_pipeline.cli` runs `cnn-pipeline`."""

from cnn_pipeline.cli.app import main

if __name__ == "__main__":
    main()
