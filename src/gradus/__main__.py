"""``python -m gradus`` is the command ``gradus``."""

from gradus.cli import main

if __name__ == "__main__":
    main()
