package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

func mysqlFacade() kind { return kind{"the façade of MySQL 8", startMySQLFacade} }

// startMySQLFacade starts tools/mysqlfacade in front of the MariaDB: it logs
// every client in by caching_sha2_password, always the full way, then connects
// to the MariaDB and relays.
func startMySQLFacade(ctx context.Context, b *bench) (server, error) {
	running, err := b.server(ctx, mariadb())
	if err != nil {
		return nil, err
	}
	backend := running.direct(way{network: "unix"})
	settings, err := facadeSettings(backend)
	if err != nil {
		return nil, err
	}
	program, err := b.installed(filepath.Join(b.options.targets, "mysqlfacade"))
	if err != nil {
		return nil, err
	}
	s := &listening{connector: "mysql", password: backend.password}
	dir := filepath.Join(b.dir, "facade")
	if err := b.fleet.owner.makeDir(dir); err != nil {
		return nil, err
	}
	s.process, err = b.fleet.owner.start(dir, launch{args: []string{program}, input: settings, end: syscall.SIGKILL})
	if err != nil {
		return nil, err
	}
	err = s.process.await(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		if _, err := fmt.Sscanf(s.process.lastOutput(), "%d\n", &s.port); err != nil {
			return fmt.Errorf("it has not printed its port: %w", err)
		}
		return ready(openMySQL, s.direct(way{network: "tcp"}))(ctx)
	})
	if err != nil {
		s.process.stop()
		return nil, err
	}
	return s, nil
}

// facadeSettings are what the program reads. Its key is RSA because the
// password is encrypted with it.
func facadeSettings(backend endpoint) ([]byte, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the server's key: %w", err)
	}
	certificate, key, err := selfSigned(private)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"Method": "caching_sha2_password", "FullAuth": true, "Cert": certificate, "Key": key,
		"Backend": backend.socket, "Users": map[string]string{backend.user: backend.password}, "Keeper": backend.user,
	})
}
