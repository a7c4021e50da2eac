"""The training program of models/scenes: from drawn scenes to a model folder. See __main__."""
