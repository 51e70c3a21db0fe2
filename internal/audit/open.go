package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
)

// Options belong to a sink.
type Options struct {
	// Required makes Require wait for the line to be written.
	Required bool
	// MaxSize is how large a file gets in bytes before it is moved away; zero
	// leaves that to others. Keep is how many of those are kept.
	MaxSize int64
	Keep    int
	// Fsync has each line of a file confirmed by the disk.
	Fsync bool
	// Syslog is for outputs of that kind.
	Syslog SyslogOptions
	// Log hears of events that could not be written, at most every ten
	// seconds.
	Log *slog.Logger
}

// Open makes the sink that to (audit.to in the configuration) names: each is
// file:///absolute/path, appended to and created with mode 0600; stdout;
// stderr; syslog, the system's; or syslog:///path of a unix socket. A file that
// was moved away, as log rotation does, is opened anew. An event goes to all of
// them.
func Open(to []string, o Options) (Sink, error) {
	var outputs []output
	for _, spec := range to {
		out, err := openOutput(spec, o)
		if err != nil {
			for _, opened := range outputs {
				_ = opened.Close()
			}
			return nil, err
		}
		outputs = append(outputs, out)
	}
	if len(outputs) == 0 {
		return nil, errors.New("audit: nothing to write to is named")
	}
	return newSink(o, outputs...), nil
}

func openOutput(spec string, o Options) (output, error) {
	switch spec {
	case "stdout":
		return &stream{to: os.Stdout}, nil
	case "stderr":
		return &stream{to: os.Stderr}, nil
	case "syslog":
		return openSyslog(systemSockets(), o.Syslog)
	}
	u, err := url.Parse(spec)
	if err != nil || u.Host != "" || !filepath.IsAbs(filepath.FromSlash(u.Path)) || u.Scheme != "file" && u.Scheme != "syslog" {
		return nil, fmt.Errorf("audit: cannot write to %q: use file:///absolute/path, stdout, stderr, syslog or syslog:///path/of/a/socket", spec)
	}
	path := filepath.FromSlash(u.Path)
	if u.Scheme == "syslog" {
		return openSyslog([]string{path}, o.Syslog)
	}
	return openFile(path, o)
}
