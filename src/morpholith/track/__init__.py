"""Series and pairs: who is who, how it moved, registered stacks."""
