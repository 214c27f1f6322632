"""The way back: instances as LabelMe files, to be looked at and corrected."""
