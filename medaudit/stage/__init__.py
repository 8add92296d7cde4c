"""What may stand before or after a model: filters, coding, noise, denoisers and detectors."""
