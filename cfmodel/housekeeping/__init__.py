"""What may go: what lies below the folder for data, what is still needed, and what age and number leave over."""
