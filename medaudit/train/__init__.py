"""Networks that are trained on reference data: the only room that needs PyTorch (`medaudit[train]`)."""
