// Presses the button as soon as somebody is really there: mail scanners open pages, but touch nothing.
;(() => {
  var form = document.querySelector('form')
  var shown = Date.now()
  var pressed = false
  function press(event) {
    if (pressed || !event.isTrusted || document.visibilityState !== 'visible' || Date.now() - shown < 800) return
    if (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ') return
    if (event.target.closest?.('[data-not-me]')) return
    pressed = true
    form.requestSubmit()
  }
  document.addEventListener('pointerdown', press)
  document.addEventListener('pointermove', press)
  document.addEventListener('keydown', press)
})()
