"""The local server behind ``bedside ui``: REST and WebSocket over sessions, and the built page."""
