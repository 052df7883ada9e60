"""What lies between the files and the model: colours and normalisation on the model's device."""
