from .django import Django

TOOLS = [Django()]
