def observe_top_level(connect, session, statement, before):
	raise NotImplementedError
