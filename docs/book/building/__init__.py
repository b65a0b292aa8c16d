"""What Sphinx does not do by itself: pages of modules, of ops and of errors, notebooks, and pages that show source files."""
