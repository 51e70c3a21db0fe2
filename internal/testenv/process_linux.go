package testenv

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// CanBindToProcess tells whether servers end with a test process that is killed.
func CanBindToProcess() bool { return true }

// launch runs a program under a keeper, so that nothing of it outlives its end
// or the test process, wherever it went. The program writes to log.
func launch(p program, log *os.File) (*process, error) {
	order, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ordersRead, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answers, answersWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, orders.Close(), ordersRead.Close())
	}
	cmd := exec.Command(self)
	cmd.Env = []string{keeperVariable + "=1", "GOMAXPROCS=1", "GORACE=atexit_sleep_ms=0"}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	if p.input != "" {
		cmd.Stdin = strings.NewReader(p.input)
	}
	cmd.ExtraFiles = []*os.File{ordersFD - 3: ordersRead, answersFD - 3: answersWrite}
	// What a terminal sends is for the tests.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	// The keeper has these; each side sees by its own that the other has ended.
	_, _ = ordersRead.Close(), answersWrite.Close()
	if err != nil {
		return nil, errors.Join(err, orders.Close(), answers.Close())
	}
	// If the keeper has ended already, its answer says so.
	_, _ = orders.Write(append(order, '\n'))
	proc := &process{done: make(chan struct{})}
	proc.signal = func(s syscall.Signal) { _, _ = orders.Write([]byte{byte(s)}) }
	first := make(chan string, 1)
	go proc.run(cmd, orders, answers, first)
	if said := <-first; said != started {
		<-proc.done
		return nil, fmt.Errorf("the process between: %s", said)
	}
	return proc, nil
}

// run hears what the keeper answers, and waits for it.
func (p *process) run(cmd *exec.Cmd, orders, answers *os.File, first chan<- string) {
	defer close(p.done)
	lines := bufio.NewScanner(answers)
	lines.Scan()
	first <- lines.Text()
	p.how = "its keeper was killed"
	if lines.Scan() {
		p.how = lines.Text()
	}
	_ = cmd.Wait()
	_, _ = orders.Close(), answers.Close()
}
