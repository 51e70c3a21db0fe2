package cli

import (
	"bytes"
	"fmt"
	"os"
	osexec "os/exec"
	"os/signal"
	"slices"
	"strings"

	"secretless/internal/summon"
)

// child is the command that summon runs.
type child struct {
	env  Env
	argv []string
	// stay says that somebody has to be there when the command ends.
	stay bool
}

// run runs the command with the variables; its exit code is that of the error.
// Where nothing is left to do when the command ends, it takes this process's
// place: then signals, the terminal and the exit status are its own.
func (c child) run(values []variable, environment string) error {
	stay := c.stay || c.needsFiles(values) || !replaceable(c.env)
	var signals <-chan os.Signal
	if stay { // before there are files that a signal would leave behind
		// What is ignored stays so, as nohup and a shell's background want it.
		if forwarded := slices.DeleteFunc(forwardedSignals(), signal.Ignored); len(forwarded) > 0 {
			var stop func()
			signals, stop = c.env.Notify(forwarded...)
			defer stop()
		}
	}
	var files *summon.Files
	if c.needsFiles(values) {
		runtimeDir, _ := c.env.LookupEnv("XDG_RUNTIME_DIR")
		var err error
		if files, err = summon.NewFiles([]string{"/dev/shm", runtimeDir}); err != nil {
			return err
		}
	}
	code, err := c.start(values, environment, files, signals, stay)
	if removeErr := files.Remove(); err == nil {
		err = removeErr
	}
	if err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

func (c child) needsFiles(values []variable) bool {
	return slices.ContainsFunc(values, func(v variable) bool { return v.File }) ||
		slices.ContainsFunc(c.argv, func(arg string) bool { return strings.Contains(arg, summon.EnvFileName) })
}

func (c child) start(values []variable, environment string, files *summon.Files, signals <-chan os.Signal, stay bool) (int, error) {
	vars, err := variables(values, files)
	if err != nil {
		return 0, err
	}
	if environment != "" {
		vars["SUMMON_ENV"] = environment
	}
	argv, err := withEnvFile(c.argv, vars, files)
	if err != nil {
		return 0, err
	}
	path, err := osexec.LookPath(argv[0])
	if err != nil {
		return 0, fmt.Errorf("running the command: %w", err)
	}
	environ := overlay(c.env.Environ(), vars)
	if !stay {
		return 0, replace(path, argv, environ)
	}
	cmd := &osexec.Cmd{
		Path: path, Args: argv, Env: environ,
		Stdin: c.env.Stdin, Stdout: c.env.Stdout, Stderr: c.env.Stderr,
	}
	return wait(cmd, signals)
}

// variables are what the command's environment gets: it holds strings, which
// cannot be wiped.
func variables(values []variable, files *summon.Files) (map[string]string, error) {
	vars := make(map[string]string, len(values))
	for _, v := range values {
		switch {
		case v.File:
			path, err := files.Write(v.value.Bytes())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.Name, err)
			}
			vars[v.Name] = path
		case bytes.IndexByte(v.value.Bytes(), 0) >= 0:
			return nil, fmt.Errorf("%s: the value has a NUL byte, which no environment can hold: use !var:file", v.Name)
		default:
			vars[v.Name] = string(v.value.Bytes())
		}
		v.value.Wipe()
	}
	return vars, nil
}

// withEnvFile replaces @SUMMONENVFILE in arguments.
func withEnvFile(argv []string, vars map[string]string, files *summon.Files) ([]string, error) {
	argv = slices.Clone(argv)
	path := ""
	for i, arg := range argv {
		if !strings.Contains(arg, summon.EnvFileName) {
			continue
		}
		if path == "" {
			content := summon.EnvFile(vars)
			var err error
			path, err = files.Write(content)
			clear(content)
			if err != nil {
				return nil, err
			}
		}
		argv[i] = strings.ReplaceAll(arg, summon.EnvFileName, path)
	}
	return argv, nil
}

// overlay is an environment in which vars replace what has their names.
func overlay(environ []string, vars map[string]string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(assignment string) bool {
		name, _, _ := strings.Cut(assignment, "=")
		_, replaced := vars[name]
		return replaced
	})
	for name, value := range vars {
		out = append(out, name+"="+value)
	}
	return out
}

// wait runs cmd to its end and passes signals on to it.
func wait(cmd *osexec.Cmd, signals <-chan os.Signal) (int, error) {
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("running the command: %w", err)
	}
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for {
			select {
			case s := <-signals:
				if !sentToAll(s) {
					_ = cmd.Process.Signal(s)
				}
			case <-ended:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	<-passed
	if cmd.ProcessState == nil {
		return 0, fmt.Errorf("waiting for the command: %w", err)
	}
	return codeOf(cmd.ProcessState), nil
}
