// Package e2e holds no code, only tests: the whole program in front of real
// PostgreSQL servers with real clients, under failure and under load.
package e2e
