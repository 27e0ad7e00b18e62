"""Choose what may be removed: what lies below the folder for data, what is needed, how old and how many."""
