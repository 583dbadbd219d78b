"""What a `train` section can name: initialisers, optimisers, schedules, clipping and stopping. One record each."""
