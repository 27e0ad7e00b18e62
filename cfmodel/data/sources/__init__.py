"""Where ratings come from: files, object stores, public sets and planted ratings."""
