package cli

import (
	"fmt"
	"os"
	"time"

	"secretless/internal/broker"
	"secretless/internal/sdnotify"
)

// openNotify finds the service manager. One that cannot be told is no reason
// not to serve: it will notice by itself.
func (p *process) openNotify() {
	n, err := sdnotify.New(p.env.LookupEnv, os.Getpid())
	p.logNotify(err)
	p.notify = n
}

func (p *process) logNotify(err error) {
	if err != nil {
		p.log.Warn("service manager", "error", err)
	}
}

// notifyReady says that the broker serves; after a reload also whether that
// changed anything.
func (p *process) notifyReady(reloadFailed error) {
	status := fmt.Sprintf("%d services", configured(p.broker.Status()))
	if reloadFailed != nil {
		status += "; the last reload failed and changed nothing, see the log"
	}
	p.logNotify(p.notify.Ready(status))
}

// configured is how many services the configuration has: those that a reload
// took away and that only drain are not counted.
func configured(all []broker.ServiceStatus) (n int) {
	for _, s := range all {
		if s.Drained || len(s.Listen) > 0 {
			n++
		}
	}
	return n
}

// answerWatchdog tells the service manager again and again that the broker
// lives, from a goroutine that ends with the returned function. Asking the
// broker for its status takes its locks: one that hangs is restarted.
func (p *process) answerWatchdog() (end func()) {
	if p.notify == nil || p.notify.Interval == 0 {
		return func() {}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(p.notify.Interval)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.broker.Status()
				p.logNotify(p.notify.Alive())
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}
