"""`python -m myna`: the command line where no program called myna is on the path."""

from myna.cli import main

if __name__ == "__main__":
    main()
