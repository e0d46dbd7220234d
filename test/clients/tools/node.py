"""What the tools that come from npm have in common; their packages are in node_modules beside the projects."""
from .base import Tool, indented


def node(program, *arguments):
	return ['/usr/bin/env', 'node', f'../node_modules/{program}', *arguments]


class NodeTool(Tool):
	environment = {'NO_COLOR': '1', 'DATABASE_URL': 'postgres://'}
	call = ''  # what a statement is given to

	def sql(self, text):
		return f'{self.call}("{text}");' if '\n' not in text else f'{self.call}(`\n{indented(text, "  ")}\n`);'

	def path(self, migration):
		return f'migrations/{migration.id}.js'
