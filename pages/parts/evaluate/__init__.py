"""The page that judges endpoints by photos whose masks are known."""
