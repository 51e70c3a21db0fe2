package top

import "secretless/internal/admin"

// verdict is what a key asks for beyond the view.
type verdict struct {
	quit  bool
	close uint64 // the connection to close, zero for none
}

const ctrlC = 3

// press does what k means.
func (v *view) press(k key) verdict {
	v.note = ""
	if v.asking != nil {
		return v.answer(k)
	}
	switch k {
	case 'q', 'Q', ctrlC:
		return verdict{quit: true}
	case 's':
		v.by = (v.by + 1) % orders
	case 'k', keyUp:
		v.move(-1)
	case 'j', keyDown:
		v.move(1)
	case keyPageUp:
		v.move(-pageStep)
	case keyPageDown:
		v.move(pageStep)
	case 'g', keyHome:
		v.move(-admin.MaxPage)
	case 'G', keyEnd:
		v.move(admin.MaxPage)
	case 'x':
		v.ask()
	}
	return verdict{}
}

const pageStep = 10

func (v *view) move(by int) {
	if v.model == nil {
		return
	}
	list := v.model.sorted(v.by)
	if len(list) == 0 {
		return
	}
	at := place(list, v.at)
	if at < 0 {
		at, by = 0, max(by-1, 0) // the first key press chooses
	}
	v.at = list[min(max(at+by, 0), len(list)-1)].ID
}

// ask begins to close the chosen connection.
func (v *view) ask() {
	if v.model != nil {
		list := v.model.now.connections.Connections
		if n := place(list, v.at); n >= 0 {
			v.asking = &list[n]
			return
		}
	}
	v.note = "choose a connection first, with j and k"
}

func (v *view) answer(k key) (out verdict) {
	switch k {
	case 'y', 'Y':
		out.close = v.asking.ID
	case ctrlC:
		out.quit = true
	case 'n', 'N', 'q', keyEscape:
		v.note = "nothing was closed"
	default:
		return out // keep asking
	}
	v.asking = nil
	return out
}
