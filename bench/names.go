package main

import "fmt"

// The loads' names, without the way that their bytes travel. PostgreSQL's are
// the ones that name no protocol.

func selectName(mode string, clients int) string {
	return fmt.Sprintf("select %s, %s", mode, clientCount(clients))
}

func observedName(mode string, clients int) string { return "observed " + selectName(mode, clients) }

func reconnectName(clients int) string { return "reconnect, " + clientCount(clients) }

// arrivalName is about clients that come now and then.
const arrivalName = "login, 20 a second"

func rawName(upload bool) string {
	if upload {
		return "raw to the target"
	}
	return "raw from the target"
}

func pointSelectName(mode string, clients int) string {
	return fmt.Sprintf("mysql point select %s, %s", mode, clientCount(clients))
}

func mysqlReconnectName(how string, clients int) string {
	return fmt.Sprintf("mysql reconnect, %s, %s", how, clientCount(clients))
}

// cachingSHA2Full is how the password travels: inside TLS, or encrypted with the
// server's RSA key where there is no TLS.
func cachingSHA2Full(encrypted bool) string {
	if encrypted {
		return "caching_sha2 full"
	}
	return "caching_sha2 full by RSA"
}

func mssqlSelectName(clients int) string { return "mssql SELECT 1, " + clientCount(clients) }

func mssqlReconnectName(clients int) string { return "mssql reconnect, " + clientCount(clients) }

func scpName(upload bool) string {
	if upload {
		return "scp to the target"
	}
	return "scp from the target"
}

func sshSessionName(clients int) string { return "ssh host true, " + clientCount(clients) }

func clientCount(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

// loadName is a load's whole name: unique, looked up by the bars, matched by
// -only.
func loadName(what, network string, encrypted bool) string {
	if encrypted {
		return fmt.Sprintf("%s, %s, TLS to the target", what, network)
	}
	return fmt.Sprintf("%s, %s", what, network)
}

// httpVersion is what an HTTP client speaks, to the target and to relays.
type httpVersion struct{ encrypted, h2 bool }

func (v httpVersion) String() string {
	switch {
	case v.h2:
		return "https, h2"
	case v.encrypted:
		return "https, HTTP/1.1"
	default:
		return "http, HTTP/1.1"
	}
}

func httpSmallName(v httpVersion) string { return "http 1 KiB, " + v.String() }

// httpHalfName names the relay whose greatest rate is halved, unless that is
// the broker.
func httpHalfName(of string, v httpVersion) string {
	if of == broker {
		return "http half load, " + v.String()
	}
	return "http half load of " + of + ", " + v.String()
}

func httpBulkName(v httpVersion, upload bool) string {
	if upload {
		return "http 100 MiB to the target, " + v.String()
	}
	return "http 100 MiB from the target, " + v.String()
}
