package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

func (s *Server) program() (program, error) {
	return program{
		Path: filepath.Join(s.bin, "postgres"),
		Args: []string{"-D", s.data(), "-p", fmt.Sprint(s.Port), "-k", s.dir, "-c", "listen_addresses=" + loopback(s.IPv6)},
	}, nil
}

// answers asks on the socket. The server opens that last.
func (s *Server) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN(s.Users.Admin, "host="+s.SocketDir()))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// forgetSharedMemory removes the System V segment of a killed server, which
// would stay until the machine restarts. Its id is in the server's pid file.
func (s *Server) forgetSharedMemory() {
	pidFile, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	lines := strings.Split(string(pidFile), "\n")
	if len(lines) < 7 {
		return
	}
	if ids := strings.Fields(lines[6]); len(ids) == 2 {
		if id, err := strconv.Atoi(ids[1]); err == nil {
			removeSegment(id)
		}
	}
}
