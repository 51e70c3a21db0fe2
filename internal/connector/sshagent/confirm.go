package sshagent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"secretless/internal/connector"
)

// afterKill is how long an ended command's children may hold on.
const afterKill = time.Second

// confirm runs the command of the configuration and returns nil where it says
// yes. One question is asked at a time; waiting for one's turn counts.
func (c *Connector) confirm(ctx context.Context, s *connector.Session, u use) error {
	if len(c.config.Confirm) == 0 {
		return errors.New("the key asks for confirmation, and config has no confirm command to ask with")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.ConfirmTimeout)
	defer cancel()
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return c.unanswered(ctx)
	}
	err := c.question(ctx, s, u).Run()
	_, no := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return c.unanswered(ctx)
	case no:
		return fmt.Errorf("the confirm command said no (%w)", err)
	case err != nil:
		return fmt.Errorf("the confirm command did not run: %w", err)
	}
	return nil
}

func (c *Connector) unanswered(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("nobody confirmed it within %s", c.config.ConfirmTimeout)
	}
	return errors.New("the service stopped before it was confirmed")
}

// question is the command with the question as its last argument. Its
// environment has the parts of the question, and nothing of the broker's own.
func (c *Connector) question(ctx context.Context, s *connector.Session, u use) *exec.Cmd {
	text := fmt.Sprintf("Allow %s to use the key %s (%s) of %s? Purpose: %s.", s.Peer, quote(u.id.comment), u.fingerprint(), s.Service, u.purpose)
	argv := append(append([]string(nil), c.config.Confirm...), text)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"SSH_ASKPASS_PROMPT=confirm", // a dialogue of ssh-askpass has yes and no then
		"SECRETLESS_SERVICE=" + s.Service,
		"SECRETLESS_KEY=" + u.fingerprint(),
		"SECRETLESS_COMMENT=" + quote(u.id.comment),
		"SECRETLESS_PURPOSE=" + u.purpose.String(),
		"SECRETLESS_USER=" + quote(u.purpose.user),
		"SECRETLESS_HOST=" + u.purpose.host,
		"SECRETLESS_PEER=" + s.Peer.String(),
	}
	if s.Peer.Known {
		cmd.Env = append(cmd.Env, "SECRETLESS_PEER_UID="+strconv.FormatUint(uint64(s.Peer.UID), 10), "SECRETLESS_PEER_PID="+strconv.Itoa(s.Peer.PID))
	}
	cmd.WaitDelay = afterKill
	ownGroup(cmd)
	return cmd
}

// Commands is the command that asks.
func (c *Connector) Commands() string {
	if len(c.config.Confirm) == 0 {
		return ""
	}
	return c.config.Confirm[0]
}
