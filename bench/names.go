package main

import "fmt"

// The loads' names, without the way that their bytes travel.

func selectName(mode string, clients int) string {
	return fmt.Sprintf("select %s, %s", mode, clientCount(clients))
}

func reconnectName(clients int) string { return "reconnect, " + clientCount(clients) }

func rawName(upload bool) string {
	if upload {
		return "raw to the target"
	}
	return "raw from the target"
}

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
