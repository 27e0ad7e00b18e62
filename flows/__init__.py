"""What happens, in order: each flow composes tasks and reads as its docstring."""
