package postgres

import "strings"

// toTarget is the startup packet for the target: the client's, with the
// credentials' user and database, the credentials' parameters where the client
// has none of that name, and the enforced ones in any case.
func toTarget(client startup, s settings, enforce []string) startup {
	out := startup{version: client.version}
	out.add("user", s.username)
	out.add("database", databaseFor(client, s))
	for _, p := range client.parameters {
		if p.name == "user" || p.name == "database" || contains(enforce, p.name) && s.has(p.name) {
			continue
		}
		out.parameters = append(out.parameters, p)
	}
	for _, p := range s.parameters {
		if contains(enforce, p.name) || !client.has(p.name) {
			out.add(p.name, p.value)
		}
	}
	return out
}

// databaseFor is the credential, else what the client names, else the client's
// own user name: what it would get from PostgreSQL itself.
func databaseFor(client startup, s settings) string {
	for _, name := range []string{s.database, client.get("database"), client.get("user")} {
		if name != "" {
			return name
		}
	}
	return ""
}

// add appends a parameter unless it is empty.
func (s *startup) add(name, value string) {
	if value != "" {
		s.parameters = append(s.parameters, parameter{name, value})
	}
}

func (s startup) has(name string) bool  { return hasParameter(s.parameters, name) }
func (s settings) has(name string) bool { return hasParameter(s.parameters, name) }

// Names of settings are compared without case, as PostgreSQL does: otherwise a
// client would escape an enforced search_path by sending SEARCH_PATH.
func hasParameter(list []parameter, name string) bool {
	for _, p := range list {
		if strings.EqualFold(p.name, name) {
			return true
		}
	}
	return false
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
