// Package e2e holds no code, only tests: the whole program in front of real
// PostgreSQL and MariaDB servers with real clients, under failure and under load.
package e2e
