"""From labels and shapes to instances: classes, what each shape covers, which shapes are one object."""
