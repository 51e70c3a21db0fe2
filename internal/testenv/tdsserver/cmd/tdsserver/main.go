// Command tdsserver runs the TDS test target as a process, for benchmarks and
// for trying clients by hand. It prints its address, and ends when its standard
// input does.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"

	"secretless/internal/testenv/tdsserver"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tdsserver:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	user := flag.String("user", "sa", "account")
	password := flag.String("password", "", "its password")
	database := flag.String("database", "app", "a database beside master and tempdb")
	cert := flag.String("cert", "", "PEM file with the server's certificate; without it there is no TLS")
	key := flag.String("key", "", "PEM file with its private key")
	required := flag.Bool("encrypt", false, "refuse clients that do not encrypt")
	route := flag.String("route", "", "host:port that logins are sent to")
	flag.Parse()

	config := tdsserver.Config{
		Listen: *listen, Encryption: tdsserver.EncryptionNotSupported, RouteTo: *route,
		Users: []tdsserver.User{{Name: *user, Password: *password}}, Databases: []string{*database},
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		config.Certificate, config.Encryption = &pair, tdsserver.EncryptionOff
		if *required {
			config.Encryption = tdsserver.EncryptionRequired
		}
	}
	server, err := tdsserver.Start(config)
	if err != nil {
		return err
	}
	defer server.Stop()
	fmt.Println(server.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
