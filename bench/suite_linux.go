package main

// suite lists the loads that the options ask for. A further protocol is a
// further line here and a file of its own, with its server, its clients and its
// loads.
func (b *bench) suite() []load {
	var wanted []load
	for _, loads := range []func(*bench) []load{postgresLoads, mysqlLoads, mssqlLoads, sshLoads, httpLoads, observedLoads} {
		for _, l := range loads(b) {
			if (l.quick || !b.options.quick) && b.options.wants(l.name) {
				wanted = append(wanted, l)
			}
		}
	}
	return wanted
}
