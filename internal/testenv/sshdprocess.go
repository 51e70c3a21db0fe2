package testenv

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func (s *SSHServer) program() (program, error) {
	config := s.file("config")
	return program{Path: sshd, Args: []string{"-D", "-e", "-f", config}}, os.WriteFile(config, []byte(s.config()), 0o600)
}

// greets asks for the greeting of a server that has its port: on a taken one
// somebody else may answer.
func (s *SSHServer) greets(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.TCP())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	const want = "SSH-2.0-"
	greeting := make([]byte, len(want))
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return err
	}
	if string(greeting) != want || !strings.Contains(s.Log(), "Server listening") {
		return errors.New("something else listens there")
	}
	return nil
}
