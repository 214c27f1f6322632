"""What photo files say and show, and which photo belongs to which annotation file."""
