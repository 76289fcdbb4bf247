"""The interactive view in real JupyterLab, in real Chromium."""
